"""Bills and statements to look at and to print: HTML, PDF, a chart, in the reader's language."""
