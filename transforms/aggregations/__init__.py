"""From measurements to quantities: partial states, segments, simple and compound aggregations, the Data Explorer."""
