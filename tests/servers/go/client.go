// A name by the resolver, and what the server there says: net and net/http.
package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
)

func main() {
	url, name := os.Args[1], os.Args[2]
	addresses, err := net.LookupHost(name)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("address", addresses[0])
	_, err = net.LookupHost("nowhere.test")
	var refused *net.DNSError
	fmt.Println("no such name", errors.As(err, &refused) && refused.IsNotFound)
	answer, err := http.Get(url)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Print(answer.StatusCode, " ", string(body))
}
