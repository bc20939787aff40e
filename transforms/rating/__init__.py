"""What usage costs: one list of steps (pipeline.py), the steps, and the calendar they share."""
