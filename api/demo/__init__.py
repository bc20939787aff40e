"""The demo: 16 airlines billed for every flight that left New York in 2013.

Put here the flights as measurements, the made-up tariff and the tables of the result. The command is
``api/commands/demo.py``; everything it does goes the way of any other client's usage.
"""
