"""Journal files of systemd-journald, read without it (systemd, JOURNAL_FILE_FORMAT): header, structure, export."""
