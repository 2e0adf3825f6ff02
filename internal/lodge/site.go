package lodge

import (
	"net/http"
	"strings"
	"time"

	"lodge/internal/access"
	"lodge/internal/bus"
	"lodge/internal/config"
	"lodge/internal/httpapi"
)

// SiteHealth is how the server and what it depends on are.
type SiteHealth struct {
	Version string `json:"version"`
	httpapi.Readiness
}

// SiteConfig is the configuration in effect, with secrets masked.
type SiteConfig struct {
	Items []config.Item `json:"items" nullable:"false"`
}

// News says that something changed which a live view may show. It names no object: whoever may see
// it asks for it.
type News struct {
	Topic string `json:"topic" example:"results.uploads"`
}

// newsPrefix is the bus's subject of news, before the topic.
const newsPrefix = "news."

// publish tells the live views of every replica; a lost message costs them a little freshness.
func (p *platform) publish(topic string) {
	if err := p.bus.Publish(newsPrefix+topic, nil); err != nil {
		p.log.Debug("news could not be told", "topic", topic, "err", err)
	}
}

// siteRoutes are the routes about the site as a whole, for the console.
func (l *Lodge) siteRoutes() []httpapi.Route {
	tags := []string{"site"}
	return []httpapi.Route{
		{
			Method: http.MethodGet, Path: "/api/v1/site/health", Action: string(access.Self), Handle: l.handleHealth,
			Doc: httpapi.Doc{ID: "getSiteHealth", Tags: tags, Summary: "How the server and what it depends on are", Response: SiteHealth{}},
		},
		{
			Method: http.MethodGet, Path: "/api/v1/site/config", Action: "config.read", Handle: l.handleConfig,
			Doc: httpapi.Doc{ID: "getSiteConfig", Tags: tags, Summary: "The configuration in effect, and where each value came from", Response: SiteConfig{}},
		},
		{
			Method: http.MethodGet, Path: "/api/v1/events", Action: string(access.Self), Handle: l.handleEvents, Limits: httpapi.Limits{Timeout: -1},
			Doc: httpapi.Doc{
				ID: "streamEvents", Tags: tags, Summary: "What changes, as it happens", Stream: "text/event-stream",
				Description: `Each event is {"topic": "results.files"}: something of that topic changed, ask for it anew.`,
			},
		},
	}
}

func (l *Lodge) handleHealth(w http.ResponseWriter, r *http.Request) error {
	return httpapi.JSON(w, http.StatusOK, SiteHealth{l.version, l.checks.States(r.Context())})
}

func (l *Lodge) handleConfig(w http.ResponseWriter, _ *http.Request) error {
	return httpapi.JSON(w, http.StatusOK, SiteConfig{l.cfg.Items()})
}

// How often a stream tells of the same topic at most, and looks whether its reader may still listen.
const (
	newsPause    = 200 * time.Millisecond
	recheckPause = time.Second
)

// handleEvents streams news. However many changes there are, a reader hears of a topic a few times
// a second, so that a busy site does not drown its consoles.
func (l *Lodge) handleEvents(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	news, err := l.bus.Subscribe(ctx, newsPrefix+">", 64)
	if err != nil {
		return err
	}
	changes, err := l.bus.Subscribe(ctx, "access.changed", 8)
	if err != nil {
		return err
	}
	stream, err := httpapi.Events(w, r)
	if err != nil {
		return err
	}
	pending := map[string]bool{}
	pause, recheck := time.NewTicker(newsPause), time.NewTicker(recheckPause)
	defer pause.Stop()
	defer recheck.Stop()
	for {
		var m bus.Message
		var open bool
		select {
		case <-stream.Done():
			return nil
		case <-recheck.C:
			if l.identity.Recheck(ctx) != nil {
				return nil
			}
			continue
		case <-pause.C:
			for topic := range pending {
				if stream.Send("", "", News{topic}) != nil {
					return nil
				}
			}
			clear(pending)
			continue
		case m, open = <-news:
		case m, open = <-changes:
		}
		if !open {
			return nil
		}
		pending[strings.TrimPrefix(m.Subject, newsPrefix)] = true
	}
}
