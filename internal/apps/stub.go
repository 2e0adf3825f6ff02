package apps

import (
	"context"
	"lodge/internal/httpapi"
	"net/http"
)

type socket struct{}

func newFront(s *Service) (*front, error)                            { return &front{Service: s, transport: newTransport()}, nil }
func (s *Service) runSockets(ctx context.Context) error              { <-ctx.Done(); return nil }
func (s *Service) apiRoutes() []httpapi.Route                        { return nil }
func writeProblem(w http.ResponseWriter, r *http.Request, err error) { httpapi.WriteProblem(w, r, err) }

// Connect puts apps onto the edge.
func (s *Service) Connect(edge *httpapi.Server) error { return nil }
