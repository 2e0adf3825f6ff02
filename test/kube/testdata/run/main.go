// Command run is the program in the image img, which the workflows in testdata run: what it is given
// is what it does, says and leaves in the files that the templates name.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	words := os.Args[1:]
	for i, w := range words {
		if text, err := os.ReadFile(w); err == nil && strings.HasPrefix(w, "/artifacts/") {
			words[i] = string(text)
		}
	}
	all := strings.Join(words, ",")
	fmt.Printf("run %s as %d with PW=%s\n", all, os.Getuid(), os.Getenv("PW"))
	for _, w := range words {
		what, value, _ := strings.Cut(w, "=")
		n, _ := strconv.Atoi(value)
		switch what {
		case "exit":
			os.Exit(n)
		case "pause":
			pause(time.Duration(n) * time.Second)
		}
	}
	for _, file := range []string{"a", "b", "c", "f", "g", "l", "o", "r", "v", "y"} {
		if err := leave("/tmp/"+file, all); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	volume()
}

// pause waits, and ends at once when it is told to.
func pause(d time.Duration) {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	select {
	case <-time.After(d):
	case <-stop:
		fmt.Println("told to stop")
		os.Exit(143)
	}
}

// volume adds a line to a file in whichever of f-volume's places is there, and says what is in it.
func volume() {
	for _, place := range []string{"/mnt/in/sub", "/data/i", "/z"} {
		if _, err := os.Stat(place); err != nil {
			continue
		}
		file := place + "/lines"
		before, _ := os.ReadFile(file)
		if err := os.WriteFile(file, append(before, place+"\n"...), 0o600); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Printf("lines before: %q\n", before)
	}
}

func leave(file, text string) error {
	if err := os.MkdirAll("/tmp", 0o1777); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(text+"\n"), 0o600)
}
