"""What the world outside meets: the HTTP application and the command line.

Put here how something is asked for and answered. Keep out what is stored or computed.
"""
