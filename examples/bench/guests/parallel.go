// Two goroutines that compute, and allocate so that the collector has work:
// parallel ROUNDS.
package main

import (
	"fmt"
	"os"
	"sort"
	"strconv"
	"sync"
	"time"
)

type node struct{ left, right *node }

func tree(depth int) *node {
	if depth == 0 {
		return &node{}
	}
	return &node{tree(depth - 1), tree(depth - 1)}
}

func (n *node) count() int {
	if n.left == nil {
		return 1
	}
	return 1 + n.left.count() + n.right.count()
}

func work(rounds int) int {
	result := 0
	for round := 0; round < rounds; round++ {
		composite := make([]bool, 1<<20)
		for i := 2; i < len(composite); i++ {
			if composite[i] {
				continue
			}
			result++
			for j := i * i; j < len(composite); j += i {
				composite[j] = true
			}
		}
		words := map[string]int{}
		for n := 0; n < 50000; n++ {
			words[strconv.Itoa(n*7919%5003)]++
		}
		keys := make([]string, 0, len(words))
		for key := range words {
			keys = append(keys, key)
		}
		sort.Strings(keys)
		result += len(keys[0]) + tree(15).count()
	}
	return result
}

func main() {
	rounds, err := strconv.Atoi(os.Args[1])
	if err != nil {
		panic(err)
	}
	start := time.Now()
	var group sync.WaitGroup
	var results [2]int
	for worker := range results {
		group.Add(1)
		go func(worker int) {
			defer group.Done()
			results[worker] = work(rounds)
		}(worker)
	}
	group.Wait()
	if results[0] != results[1] {
		panic(results)
	}
	fmt.Println("go", time.Since(start).Nanoseconds())
}
