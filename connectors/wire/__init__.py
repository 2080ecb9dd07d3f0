"""Wire format, version 1: newline-delimited JSON to event rows."""
