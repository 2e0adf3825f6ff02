package fleet

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"lodge/internal/access"
	"lodge/internal/database"
	"lodge/internal/fault"
	"lodge/internal/fleet/fastapi"
)

// Import takes over what the original has in its database: users, roles and permissions, tasks with
// their labels, requests and logs, the logs of fleets, alerts with their answers, favorites, schedules,
// and the last states of fleets and things. Nothing is written there, and what is here already stays as
// it is, so that it can be run again. The building map comes from ROS with the first connection.
func Import(ctx context.Context, cfg Config, to, from *database.DB, users *access.Service, now func() time.Time, log *slog.Logger) ([]Imported, error) {
	s := &Service{cfg: cfg.withDefaults(), store: &store{db: to}, access: users, now: now, log: log}
	s.groups = newGroups(s.store)
	s.writer = newWriter(s.store, s.groups, now, log, func(AlertRequest) {})
	im := &importer{service: s, from: from}
	for _, step := range []struct {
		what string
		run  func(context.Context) (int, error)
	}{
		{"roles", im.roles},
		{"users", im.users},
		{"fleets", im.fleets},
		{"doors, lifts, dispensers and ingestors", im.devices},
		{"beacons", im.beacons},
		{"rios", im.rios},
		{"tasks", im.tasks},
		{"requests for tasks", im.requests},
		{"entries of task logs", im.taskLogs},
		{"entries of fleet logs", im.fleetLogs},
		{"alerts", im.alerts},
		{"favorites", im.favorites},
		{"schedules", im.schedules},
	} {
		n, err := step.run(ctx)
		if err != nil {
			return im.done, fmt.Errorf("take over %s: %w", step.what, err)
		}
		im.done = append(im.done, Imported{step.what, n})
	}
	return im.done, nil
}

// Imported is how many of something were found and are here now.
type Imported struct {
	What string
	N    int
}

// importer reads the original's tables, a piece at a time.
type importer struct {
	service *Service
	from    *database.DB
	done    []Imported
}

// importPiece is how many rows are read at once.
const importPiece = 1000

// name quotes the name of a table or column: some are words of SQL.
func (im *importer) name(text string) string {
	if im.from.Dialect() == database.MySQL {
		return "`" + text + "`"
	}
	return `"` + text + `"`
}

// each calls fn for all rows of a query, whose first column it is ordered by; ? stands for the last
// value of that column in the piece before.
func each[T any](ctx context.Context, im *importer, query string, after any, scan func(*sql.Rows) (any, T, error), fn func([]T) error) (n int, err error) {
	for {
		var last any
		rows, err := im.from.Query(ctx, query+" LIMIT ?", after, importPiece)
		piece, err := collect(rows, err, func(rows *sql.Rows) (v T, err error) {
			last, v, err = scan(rows)
			return v, err
		})
		if err != nil {
			return n, err
		}
		if len(piece) > 0 {
			if err := fn(piece); err != nil {
				return n, err
			}
		}
		if n += len(piece); len(piece) < importPiece {
			return n, nil
		}
		after = last
	}
}

// keyed is a row of a table that has a document.
type keyed struct{ id, data string }

func scanKeyed(rows *sql.Rows) (any, keyed, error) {
	var k keyed
	err := rows.Scan(&k.id, &k.data)
	return k.id, k, err
}

// documents calls fn for all documents of a table. What it says of one that cannot be read is logged,
// and the others go on.
func (im *importer) documents(ctx context.Context, table, id, data string, fn func(k keyed) error, flush func() error) (int, error) {
	query := "SELECT " + id + ", " + data + " FROM " + im.name(table) + " WHERE " + id + " > ? ORDER BY " + id
	return each(ctx, im, query, "", scanKeyed, func(piece []keyed) error {
		for _, k := range piece {
			if err := fn(k); err != nil {
				if !fault.Is(err, fault.Invalid) {
					return err
				}
				im.service.log.WarnContext(ctx, "a row could not be taken over", "table", table, "id", k.id, "error", err)
			}
		}
		return flush()
	})
}

// flush writes what was gathered.
func (im *importer) flush(ctx context.Context) func() error {
	return func() error {
		for _, piece := range im.service.writer.take().pieces(maxPiece) {
			if err := im.service.writer.write(ctx, piece); err != nil {
				return err
			}
		}
		return nil
	}
}

// state gathers the document of a thing, unless there is one.
func (im *importer) state(ctx context.Context, t thing, subtype string, data []byte) error {
	if !keyable(t.id) {
		return badKey(t.id)
	}
	if _, err := im.service.store.state(ctx, im.service.store.db, t); !errors.Is(err, errNotFound) {
		return err
	}
	return im.service.store.db.Tx(ctx, func(tx *database.Tx) error {
		return im.service.store.putState(ctx, tx, t, subtype, data, im.service.now())
	})
}

func (im *importer) fleets(ctx context.Context) (int, error) {
	return im.documents(ctx, "fleetstate", "name", "data", func(k keyed) error {
		return take(json.RawMessage(k.data), func(f *FleetState) error {
			f.mend()
			return im.state(ctx, thing{kindFleet, k.id}, "", document(f))
		})
	}, func() error { return nil })
}

func (im *importer) devices(ctx context.Context) (n int, err error) {
	for _, kind := range []struct {
		table, kind string
		read        func(json.RawMessage) (any, error)
	}{
		{"doorstate", kindDoor, func(data json.RawMessage) (any, error) { return rosMessage[DoorState](data) }},
		{"liftstate", kindLift, func(data json.RawMessage) (any, error) { return rosMessage[LiftState](data) }},
		{"dispenserstate", kindDispenser, func(data json.RawMessage) (any, error) { return rosMessage[DispenserState](data) }},
		{"ingestorstate", kindIngestor, func(data json.RawMessage) (any, error) { return rosMessage[IngestorState](data) }},
	} {
		more, err := im.documents(ctx, kind.table, "id", "data", func(k keyed) error {
			state, err := kind.read(json.RawMessage(k.data))
			if err != nil {
				return err
			}
			return im.state(ctx, thing{kind.kind, k.id}, "", document(state))
		}, func() error { return nil })
		if n += more; err != nil {
			return n, err
		}
	}
	return n, err
}

func (im *importer) beacons(ctx context.Context) (int, error) {
	query := "SELECT id, online, COALESCE(category, ''), activated, COALESCE(level, '') FROM beaconstate WHERE id > ? ORDER BY id"
	return each(ctx, im, query, "", func(rows *sql.Rows) (any, BeaconState, error) {
		var b BeaconState
		err := rows.Scan(&b.ID, &b.Online, &b.Category, &b.Activated, &b.Level)
		return b.ID, b, err
	}, func(piece []BeaconState) error {
		for _, b := range piece {
			if err := im.state(ctx, thing{kindBeacon, b.ID}, "", document(b)); err != nil {
				return err
			}
		}
		return nil
	})
}

func (im *importer) rios(ctx context.Context) (int, error) {
	query := "SELECT id, " + im.name("type") + ", data FROM rio WHERE id > ? ORDER BY id"
	return each(ctx, im, query, "", func(rows *sql.Rows) (any, Rio, error) {
		var r Rio
		var data string
		err := rows.Scan(&r.ID, &r.Type, &data)
		r.Data = fastapi.Object(data)
		return r.ID, r, err
	}, func(piece []Rio) error {
		for _, r := range piece {
			if err := im.state(ctx, thing{kindRio, r.ID}, r.Type, document(r)); err != nil {
				return err
			}
		}
		return nil
	})
}
