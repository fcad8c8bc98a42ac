"""What `bench_peers` compares this program with, each as a careful user of that library writes it."""
