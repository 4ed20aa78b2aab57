// The collector beside a program that allocates on every processor, under a
// limit, and finalizers.
package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

type node struct {
	left, right *node
	payload     [32]byte
}

func tree(depth int) *node {
	if depth == 0 {
		return &node{}
	}
	return &node{left: tree(depth - 1), right: tree(depth - 1)}
}

func (n *node) count() int {
	if n == nil {
		return 0
	}
	return 1 + n.left.count() + n.right.count()
}

func main() {
	debug.SetMemoryLimit(96 << 20)
	kept := tree(16)
	var group sync.WaitGroup
	var counts [4]int
	for worker := range counts {
		group.Add(1)
		go func(worker int) {
			defer group.Done()
			for n := 0; n < 60; n++ {
				counts[worker] += tree(11).count()
			}
		}(worker)
	}
	group.Wait()
	fmt.Println("trees", counts, kept.count())

	buffers := map[int][]byte{}
	for n := 0; n < 3000; n++ {
		buffers[n%40] = make([]byte, 1<<18)
		buffers[n%40][n] = byte(n)
	}
	fmt.Println("buffers", len(buffers))

	finalized := make(chan bool, 100)
	for n := 0; n < 100; n++ {
		runtime.SetFinalizer(&node{}, func(*node) { finalized <- true })
	}
	for n := 0; n < 99; n++ {
		runtime.GC()
		select {
		case <-finalized:
		case <-time.After(30 * time.Second):
			fmt.Println("finalizer", n, "did not run")
		}
	}
	fmt.Println("finalizers ran")
	buffers = nil
	debug.FreeOSMemory()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	fmt.Println("collected", stats.NumGC > 20, "released", stats.HeapReleased > 8<<20, "heap", stats.HeapAlloc < 40<<20)
	runtime.KeepAlive(kept)
}
