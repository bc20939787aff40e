"""What stands on a bill: lines, texts, conversions, ids, headers."""
