// Command testapp is the app that the suite of app drivers runs, as one static binary for images
// that hold nothing else.
package main

import (
	"os"

	"lodge/internal/drivertest"
)

func main() {
	if len(os.Args) < 2 {
		os.Exit(2)
	}
	os.Exit(drivertest.TestApp(os.Args[1]))
}
