package identity

import (
	"cmp"
	"embed"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"

	"lodge/internal/fault"
	"lodge/internal/httpapi"
)

//go:embed pages
var embedded embed.FS

// PageFiles are the style and the logo of all pages around a login, ours and the embedded provider's.
func PageFiles() fs.FS {
	files, err := fs.Sub(embedded, "pages")
	if err != nil {
		panic(err) // the name above is wrong
	}
	return files
}

// The few pages that people see when a login does not go straight, without any script.
var pages = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>{{.Title}} – Lodge</title>
<link rel="stylesheet" href="/auth/page/styles.css"><link rel="icon" type="image/svg+xml" href="/auth/page/logo.svg"></head>
<body><header><img src="/auth/page/logo.svg" alt="" width="32" height="32">Lodge</header>
<main><h1>{{.Title}}</h1>
{{with .Text}}<p>{{.}}</p>{{end}}
{{range .Links}}<p><a class="button" href="{{.Address}}">{{.Name}}</a></p>{{end}}
{{with .Contact}}<p>Who can help: {{.}}.</p>{{end}}
{{with .RequestID}}<p><small>Request {{.}}</small></p>{{end}}
</main></body></html>
`))

type page struct {
	Title, Text, Contact, RequestID string
	Links                           []link
}

type link struct{ Name, Address string }

func (s *Service) page(w http.ResponseWriter, r *http.Request, status int, title, text, again string) error {
	p := page{Title: title, Text: text, Contact: cmp.Or(s.cfg.Contact, "an administrator of this site"), RequestID: httpapi.RequestID(r.Context())}
	if again != "" {
		p.Links = []link{{"Try again", again}}
	}
	return show(w, status, p)
}

// choosePage asks at which of several providers to log in.
func (s *Service) choosePage(w http.ResponseWriter, _ *http.Request, list []*issuer, next string) error {
	p := page{Title: "Log in to Lodge", Text: "Where do you have your account?"}
	for i, is := range list {
		name := is.Issuer.Issuer
		if u, err := url.Parse(name); err == nil && u.Host != "" {
			name = u.Host + u.Path
		}
		p.Links = append(p.Links, link{name, loginPath + "?" + url.Values{"next": {next}, "provider": {strconv.Itoa(i)}}.Encode()})
	}
	return show(w, http.StatusOK, p)
}

// handlePageFile serves the style and the logo.
func (s *Service) handlePageFile(w http.ResponseWriter, r *http.Request) error {
	file := r.PathValue("file")
	kind := map[string]string{"styles.css": "text/css; charset=utf-8", "logo.svg": "image/svg+xml"}[file]
	body, err := fs.ReadFile(PageFiles(), file)
	if kind == "" || err != nil {
		return fault.New(fault.Missing, "there is no such file")
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Cache-Control", "public, max-age=3600")
	_, err = w.Write(body)
	return err
}

func show(w http.ResponseWriter, status int, p page) error {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	w.WriteHeader(status)
	return pages.Execute(w, p)
}
