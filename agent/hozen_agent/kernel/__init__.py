"""The kernel and the machine: modules, eBPF, tracing, audit, messages, settings, devices, main memory."""
