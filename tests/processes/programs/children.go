// os/exec and os.StartProcess, from one goroutine and from many.
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() {
	out, err := exec.Command("sh", "-c", "echo go | cat").CombinedOutput()
	fmt.Printf("%q %v\n", out, err)
	fmt.Println(exec.Command("sh", "-c", "exit 4").Run())

	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	fmt.Println(exec.CommandContext(ctx, "sleep", "100").Run())

	cat := exec.Command("cat")
	cat.Stdin = strings.NewReader(strings.Repeat("x", 300000))
	out, err = cat.Output()
	fmt.Println(len(out), err)

	ended := exec.Command("sh", "-c", "kill -TERM $$")
	err = ended.Run()
	fmt.Println(err, ended.ProcessState.Sys().(syscall.WaitStatus).Signal() == syscall.SIGTERM)

	_, err = exec.LookPath("nothing")
	fmt.Println(err)
	fmt.Println(exec.Command("/nothing").Run())

	process, err := os.StartProcess("/bin/sh", []string{"sh", "-c", "pwd; echo $A"}, &os.ProcAttr{
		Files: []*os.File{nil, os.Stdout, os.Stderr},
		Dir:   "/tmp",
		Env:   []string{"A=b"},
		Sys:   &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL},
	})
	if err == nil {
		state, err := process.Wait()
		fmt.Println(state, err)
	}

	var group sync.WaitGroup
	var lock sync.Mutex
	sum := 0
	for i := 0; i < 8; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for n := 0; n < 10; n++ {
				out, err := exec.Command("/bin/echo", "kiln").Output()
				if err != nil {
					fmt.Println(err)
				}
				lock.Lock()
				sum += len(out)
				lock.Unlock()
			}
		}()
	}
	group.Wait()
	fmt.Println(sum)
}
