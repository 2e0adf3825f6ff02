package identity

import (
	"html/template"
	"net/http"
	"net/url"
	"strconv"

	"lodge/internal/httpapi"
)

// The few pages that people see when a login does not go straight. They need no script and no
// style, so that the strictest Content-Security-Policy holds.
var pages = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>{{.Title}} – Lodge</title></head>
<body><main><h1>{{.Title}}</h1>
{{with .Text}}<p>{{.}}</p>{{end}}
{{with .Links}}<ul>{{range .}}<li><a href="{{.Address}}">{{.Name}}</a></li>{{end}}</ul>{{end}}
{{with .RequestID}}<p><small>Request {{.}}</small></p>{{end}}
</main></body></html>
`))

type page struct {
	Title, Text, RequestID string
	Links                  []link
}

type link struct{ Name, Address string }

func (s *Service) page(w http.ResponseWriter, r *http.Request, status int, title, text, again string) error {
	p := page{Title: title, Text: text, RequestID: httpapi.RequestID(r.Context())}
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

func show(w http.ResponseWriter, status int, p page) error {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	w.WriteHeader(status)
	return pages.Execute(w, p)
}
