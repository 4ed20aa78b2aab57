// Starts a process by the standard library.
package main

import (
	"fmt"
	"os/exec"
)

func main() {
	out, err := exec.Command("/bin/true").Output()
	if err != nil {
		panic(err)
	}
	fmt.Println(out)
}
