"""Remove blocks for good: ours as a smaller spec, other libraries' models in the form that the library itself loads."""
