"""Taking containers in: tus 1.0 (https://tus.io/protocols/resumable-upload), every acknowledged byte durable."""
