// Goroutines, channels, select, locks, and that no spinning goroutine holds
// the others back.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	runtime.GOMAXPROCS(2)
	// Loops without calls on every processor: only preemption by signal ends this. They do
	// some work, because Go rarely finds a safe point in a loop that does nothing but load. First,
	// while the heap is small: GC yields after each span that it sweeps, and each yield costs
	// 20 ms here, as a process too.
	var stop atomic.Bool
	work := make([]uint64, 3)
	for n := range work {
		go func(n int) {
			for state := uint64(n + 1); !stop.Load(); {
				for turn := 0; turn < 1000; turn++ {
					state ^= state << 13
					state ^= state >> 7
				}
				work[n] = state
			}
		}(n)
	}
	for n := 0; n < 3; n++ {
		time.Sleep(time.Millisecond)
	}
	runtime.GC()
	stop.Store(true)
	fmt.Println("spinning goroutines were preempted")

	var group sync.WaitGroup
	var mutex sync.Mutex
	guarded := 0
	for n := 0; n < 10000; n++ {
		group.Add(1)
		go func() {
			defer group.Done()
			mutex.Lock()
			guarded++
			mutex.Unlock()
			runtime.Gosched()
		}()
	}
	group.Wait()
	fmt.Println("mutex", guarded)

	jobs, results := make(chan int), make(chan int, 10)
	for n := 0; n < 8; n++ {
		go func() {
			for job := range jobs {
				results <- job * job
			}
		}()
	}
	go func() {
		for n := 0; n < 5000; n++ {
			jobs <- n
		}
		close(jobs)
	}()
	sum := 0
	for n := 0; n < 5000; n++ {
		sum += <-results
	}
	fmt.Println("channels", sum)

	// A chain of goroutines, each waiting for its neighbour.
	first := make(chan int)
	last := first
	for n := 0; n < 20000; n++ {
		next := make(chan int)
		go func(from, to chan int) { to <- 1 + <-from }(last, next)
		last = next
	}
	first <- 0
	fmt.Println("chain", <-last)

	parallel := make([]uint64, 2)
	for round := range parallel {
		group.Add(1)
		go func(round int) {
			defer group.Done()
			state := uint64(round + 1)
			for n := 0; n < 20_000_000; n++ {
				state ^= state << 13
				state ^= state >> 7
				state ^= state << 17
			}
			parallel[round] = state
		}(round)
	}
	group.Wait()
	fmt.Println("parallel", parallel)

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	select {
	case <-ctx.Done():
		fmt.Println("context", ctx.Err())
	case <-time.After(time.Minute):
		fmt.Println("no timeout")
	}

	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	syscall.Kill(syscall.Getpid(), syscall.SIGUSR1)
	fmt.Println("signal", <-signals)

	var pipes sync.WaitGroup
	for n := 0; n < 20; n++ {
		read, write, err := os.Pipe()
		if err != nil {
			panic(err)
		}
		pipes.Add(1)
		go func() {
			defer pipes.Done()
			var byte [1]byte
			read.Read(byte[:])
		}()
		go func() {
			time.Sleep(time.Millisecond)
			write.Write([]byte{1})
		}()
	}
	pipes.Wait()
	fmt.Println("blocked readers")

	defer func() { fmt.Println("recovered", recover()) }()
	var nowhere *struct{ field int }
	fmt.Println(nowhere.field)
}
