"""One module a benchmark: a table from scene classes to its ids or colours, and its file layout."""
