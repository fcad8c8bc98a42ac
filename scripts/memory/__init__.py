"""What scripts/bench_memory is made of: many made-up pictures, and what each phase takes."""
