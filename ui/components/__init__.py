"""What several pages show: the table, the words and colours of a status, times and amounts."""
