"""Who may send: the collector's own certificate authority, enrolment tokens and enrolment."""
