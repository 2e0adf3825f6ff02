// Command echo is a sample app for Lodge, as one static binary. It listens at $PORT, or at 8080.
package main

import (
	"fmt"
	"os"
	"time"

	"lodge/internal/apps/sample"
)

func main() {
	if err := sample.Run("echo", os.Getenv, time.Now, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "echo:", err)
		os.Exit(1)
	}
}
