"""The commands of ``meterhouse``, one module each.

Put here the words and tables that a person at a terminal sees. Keep out what the commands do (``pipelines.storage``).
Modules import what they need inside the functions, so that ``meterhouse --help`` and ``org create`` start at once.
"""
