"""Where the numbers of a bill come from: calculations compared, changes attributed to their causes, lines explained."""
