"""To the collector: enrolment, the push of a bundle, and what lies beside it afterwards."""
