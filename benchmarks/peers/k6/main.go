// The k6 of the benchmarks: its versions are those of go.mod, and go.sum holds their hashes.
package main

import "go.k6.io/k6/v2/cmd"

func main() { cmd.Execute() }
