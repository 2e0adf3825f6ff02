package localidp

import (
	"embed"
	"io/fs"
)

//go:embed all:web
var embedded embed.FS

// webFiles are the login page and its like, in the layout that Dex's templates expect.
func webFiles() fs.FS {
	files, err := fs.Sub(embedded, "web")
	if err != nil {
		panic(err) // the name above is wrong
	}
	return files
}
