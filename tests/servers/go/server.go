// A net/http server that ends in an orderly way by SIGTERM.
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				http.Error(w, err.Error(), 500)
				return
			}
			fmt.Fprint(w, strings.ToUpper(string(body)))
			return
		}
		fmt.Fprintln(w, "go answers")
	})
	server := &http.Server{Addr: ":80"}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	drained := make(chan error, 1)
	go func() {
		<-ended
		drained <- server.Shutdown(context.Background())
	}()
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		fmt.Println(err)
		os.Exit(1)
	}
	if err := <-drained; err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ended")
}
