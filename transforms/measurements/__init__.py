"""From measurements as they landed to accepted and rejected ones.

Steps in order: conform (fields of the meter, typed), validate (reasons), deduplicate, derive. wire.py and problems.py
judge a call as a whole before it lands.
"""
