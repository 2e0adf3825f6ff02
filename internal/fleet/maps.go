package fleet

import (
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // a name for an image, as clients know it
	"encoding/base32"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode"

	"lodge/internal/database"
	"lodge/internal/fleet/fastapi"
)

// mapCache holds the stored building map, and the newest one that came in.
type mapCache struct {
	incoming chan json.RawMessage

	mu      sync.Mutex
	version int64
	parsed  *BuildingMap
	data    json.RawMessage
}

// offer hands a map over to be stored; of several that wait the newest is.
func (m *mapCache) offer(msg json.RawMessage) {
	for {
		select {
		case m.incoming <- msg:
			return
		default:
		}
		select {
		case <-m.incoming:
		default:
		}
	}
}

// runMaps stores maps until ctx ends. What stands in the way of storing one is tried again, unless a
// newer map comes.
func (s *Service) runMaps(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case msg := <-s.maps.incoming:
			s.takeMap(ctx, msg)
		}
	}
}

func (s *Service) takeMap(ctx context.Context, msg json.RawMessage) {
	m, images, err := readMap(msg)
	if err != nil {
		s.log.WarnContext(ctx, "a map from ROS could not be read", "error", err)
		return
	}
	for pause := time.Second; ; pause = min(2*pause, time.Minute) {
		err := s.storeMap(ctx, m, images)
		if err == nil {
			return
		}
		s.log.WarnContext(ctx, "the building map could not be stored", "map", m.Name, "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		case newer := <-s.maps.incoming:
			s.maps.offer(newer)
			return
		}
	}
}

// image is a floor plan with where it will be found.
type image struct {
	path, key string
	data      []byte
}

// readMap reads a map from ROS. In place of its images it has their paths.
func readMap(msg json.RawMessage) (*BuildingMap, []image, error) {
	// The bytes of images are read apart, as they are base64 or lists of numbers.
	var raw struct {
		Levels []struct {
			Images []struct {
				Data json.RawMessage `json:"data"`
			} `json:"images"`
		} `json:"levels"`
	}
	if err := json.Unmarshal(msg, &raw); err != nil {
		return nil, nil, err
	}
	m := new(BuildingMap)
	var typed *json.UnmarshalTypeError
	if err := json.Unmarshal(msg, m); errors.As(err, &typed) && strings.HasSuffix(typed.Field, "images.data") {
		// A list of numbers where the address will stand.
	} else if err != nil {
		return nil, nil, err
	}
	fastapi.Complete(m)
	if !keyable(m.Name) {
		return nil, nil, badKey(m.Name)
	}
	var images []image
	for l := range m.Levels {
		level := &m.Levels[l]
		for i := range level.Images {
			data, err := imageBytes(raw.Levels[l].Images[i].Data)
			if err != nil {
				return nil, nil, err
			}
			img := newImage(m.Name, level.Name, level.Images[i], data)
			level.Images[i].Data = img.path
			images = append(images, img)
		}
	}
	return m, images, nil
}

// newImage names an image after what it shows and what is in it, so that a changed one has another
// address.
func newImage(site, level string, of AffineImage, data []byte) image {
	sum := sha1.Sum(data) //nolint:gosec // a name, no protection
	print := strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))
	encoding := of.Encoding
	if encoding == "" || len(encoding) > 10 || strings.ContainsFunc(encoding, func(r rune) bool { return r > 'z' || !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		encoding = "bin"
	}
	return image{
		path: segment(site) + "/" + segment(level+"-"+of.Name) + "." + print + "." + encoding,
		key:  "fleet/maps/" + print + "." + encoding, data: data,
	}
}

// segment makes a single harmless segment of a path out of a name that somebody else chose.
func segment(name string) string {
	name = strings.Map(func(r rune) rune {
		if r == '/' || r == '\\' || unicode.IsControl(r) || r == unicode.ReplacementChar {
			return '_'
		}
		return r
	}, name)
	if trimmed := strings.TrimLeft(name, "."); trimmed != name {
		name = "_" + trimmed
	}
	if runes := []rune(name); len(runes) > 200 {
		name = string(runes[:200])
	}
	if name == "" {
		return "_"
	}
	return name
}

// storeMap stores the images, then the map that names them, and tells of it.
func (s *Service) storeMap(ctx context.Context, m *BuildingMap, images []image) error {
	keys := map[string]string{}
	for _, img := range images {
		if key, err := s.store.mapImage(ctx, img.path); err != nil || key != img.key {
			if _, err := s.bucket.Put(ctx, img.key, bytes.NewReader(img.data)); err != nil {
				return err
			}
		}
		keys[img.path] = img.key
	}
	var unused []string
	err := s.store.db.Tx(ctx, func(tx *database.Tx) (err error) {
		unused, err = s.store.putMap(ctx, tx, m.Name, document(m), keys, s.now())
		return err
	})
	if err != nil {
		return err
	}
	for _, key := range unused {
		if err := s.bucket.Delete(ctx, key); err != nil {
			s.log.WarnContext(ctx, "an old floor plan could not be deleted", "key", key, "error", err)
		}
	}
	_, data, err := s.buildingMap(ctx)
	if err != nil {
		return err
	}
	s.feed.publishHere("/building_map", "", data)
	return nil
}

// buildingMap gives the stored map, with the addresses of its images as clients reach them.
func (s *Service) buildingMap(ctx context.Context) (*BuildingMap, json.RawMessage, error) {
	version, err := s.store.mapVersion(ctx)
	if err != nil {
		return nil, nil, err
	}
	s.maps.mu.Lock()
	defer s.maps.mu.Unlock()
	if s.maps.parsed != nil && s.maps.version == version {
		return s.maps.parsed, s.maps.data, nil
	}
	stored, err := s.store.states(ctx, listed{kind: kindMap})
	if err != nil {
		return nil, nil, err
	}
	if len(stored) == 0 {
		return nil, nil, errNotFound
	}
	m := new(BuildingMap)
	if err := json.Unmarshal(stored[0], m); err != nil {
		return nil, nil, err
	}
	for l := range m.Levels {
		for i := range m.Levels[l].Images {
			img := &m.Levels[l].Images[i]
			at := url.URL{Path: "/cache/" + img.Data}
			img.Data = s.cfg.PublicURL + at.EscapedPath()
		}
	}
	s.maps.version, s.maps.parsed, s.maps.data = version, m, document(m)
	return m, s.maps.data, nil
}
