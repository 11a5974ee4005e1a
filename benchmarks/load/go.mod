module probans.example/benchmarks/load

go 1.24.0
