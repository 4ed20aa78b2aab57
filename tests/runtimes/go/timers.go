// Timers, tickers and deadlines, many of them.
package main

import (
	"fmt"
	"os"
	"sync"
	"time"
)

func main() {
	start := time.Now()
	time.Sleep(30 * time.Millisecond)
	fmt.Println("slept", time.Since(start) >= 30*time.Millisecond)

	var group sync.WaitGroup
	early := make(chan time.Duration, 2000)
	for n := 0; n < 2000; n++ {
		group.Add(1)
		go func(wanted time.Duration) {
			defer group.Done()
			begun := time.Now()
			<-time.After(wanted)
			if taken := time.Since(begun); taken < wanted {
				early <- taken
			}
		}(time.Duration(n%50) * time.Millisecond)
	}
	group.Wait()
	fmt.Println("too early", len(early))

	ticker := time.NewTicker(2 * time.Millisecond)
	for n := 0; n < 10; n++ {
		<-ticker.C
	}
	ticker.Reset(time.Millisecond)
	<-ticker.C
	ticker.Stop()
	fmt.Println("ticker")

	fired := make(chan bool, 1)
	stopped := time.AfterFunc(time.Hour, func() { fired <- true })
	fmt.Println("stop", stopped.Stop(), stopped.Stop())
	stopped.Reset(time.Millisecond)
	fmt.Println("reset", <-fired)

	read, _, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	read.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	_, err = read.Read(make([]byte, 1))
	fmt.Println("deadline", os.IsTimeout(err))

	now := time.Now()
	fmt.Println("clocks", now.Year() > 2023, now.Round(0).Sub(now) < time.Second)
	fmt.Println(time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC).AddDate(1, 0, 0).Format(time.RFC1123))
}
