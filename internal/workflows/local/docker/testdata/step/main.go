// Command step is all that there is in the image that the tests run: it does
// what its first argument says with the others.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(what string, args []string) error {
	switch what {
	case "write": // FILE TEXT
		return os.WriteFile(args[0], []byte(args[1]), 0o644)
	case "append": // FILE TEXT
		f, err := os.OpenFile(args[0], os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.WriteString(args[1])
		return err
	case "copy": // FROM TO
		text, err := os.ReadFile(args[0])
		if err != nil {
			return err
		}
		os.Stdout.Write(text)
		return os.WriteFile(args[1], text, 0o644)
	case "variable": // NAME
		fmt.Println(os.Getenv(args[0]))
	case "slowly": // LINES, a while each
		n, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		for i := range n {
			fmt.Println("line", i)
			fmt.Fprintln(os.Stderr, "error", i)
			time.Sleep(50 * time.Millisecond)
		}
	case "exit": // CODE
		n, _ := strconv.Atoi(args[0])
		os.Exit(n)
	case "eat": // MIB of memory
		n, _ := strconv.Atoi(args[0])
		hog := make([]byte, n<<20)
		for i := range hog {
			hog[i] = 1
		}
		fmt.Println(len(hog))
	case "look":
		status, err := os.ReadFile("/proc/self/status")
		if err != nil {
			return err
		}
		for _, line := range strings.Split(string(status), "\n") {
			if strings.HasPrefix(line, "Uid") || strings.HasPrefix(line, "CapEff") || strings.HasPrefix(line, "CapBnd") || strings.HasPrefix(line, "NoNewPrivs") {
				fmt.Println(strings.Join(strings.Fields(line), " "))
			}
		}
		list, err := net.Interfaces()
		if err != nil {
			return err
		}
		for _, i := range list {
			fmt.Println("interface", i.Name)
		}
	default:
		_, err := io.WriteString(os.Stderr, "what is "+what+"?\n")
		return err
	}
	return nil
}
