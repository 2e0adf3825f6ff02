package database

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"strings"
	"text/template"
	"time"

	"github.com/pressly/goose/v3"

	"lodge/internal/fault"
)

//go:embed migrations/*.sql
var migrations embed.FS

// versionTable is where the applied migrations stand.
const versionTable = "lodge_migrations"

// Migration is a step of the schema.
type Migration struct {
	Version int64
	// Name is the step's file; empty for a step that this release does not know.
	Name    string
	Applied bool
	// At is when it was applied.
	At time.Time
}

// Migrate brings the schema up to date, one process at a time. A schema that a newer
// release made is refused as fault.Conflict: this release would not know its meaning.
func (db *DB) Migrate(ctx context.Context) error {
	unlock, err := db.lockSchema(ctx)
	if err != nil {
		return fmt.Errorf("migrate database: %w", explain(err))
	}
	defer unlock()
	steps, err := db.provider()
	if err != nil {
		return err
	}
	have, know, err := steps.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("migrate database: %w", explain(err))
	}
	if have > know {
		return fault.New(fault.Conflict, "the database was migrated by a newer release of Lodge (schema %d, "+
			"this release knows %d): run that release or a newer one", have, know)
	}
	applied, err := steps.Up(ctx)
	if err != nil {
		return fmt.Errorf("migrate database: %w", explain(err))
	}
	for _, step := range applied {
		db.log.InfoContext(ctx, "database migrated", slog.String("step", step.Source.Path), slog.Duration("took", step.Duration))
	}
	return nil
}

// Status lists the steps of the schema in order: those that this release knows, and
// those that a newer one has applied.
func (db *DB) Status(ctx context.Context) ([]Migration, error) {
	steps, err := db.provider()
	if err != nil {
		return nil, err
	}
	known, err := steps.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("read schema versions: %w", explain(err))
	}
	list := make([]Migration, 0, len(known))
	var last int64
	for _, step := range known {
		last = step.Source.Version
		list = append(list, Migration{
			Version: last, Name: step.Source.Path, Applied: step.State == goose.StateApplied, At: step.AppliedAt.UTC(),
		})
	}
	newer, err := db.Query(ctx, "SELECT version_id FROM "+versionTable+" WHERE version_id > ? ORDER BY version_id", last)
	if err != nil {
		return nil, fmt.Errorf("read schema versions: %w", err)
	}
	defer func() { _ = newer.Close() }()
	for newer.Next() {
		m := Migration{Applied: true}
		if err := newer.Scan(&m.Version); err != nil {
			return nil, fmt.Errorf("read schema versions: %w", explain(err))
		}
		list = append(list, m)
	}
	return list, explain(newer.Err())
}

// provider knows the steps in this database's dialect.
func (db *DB) provider() (*goose.Provider, error) {
	steps, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	dialect := map[Dialect]goose.Dialect{
		SQLite: goose.DialectSQLite3, Postgres: goose.DialectPostgres, MySQL: goose.DialectMySQL,
	}[db.dialect]
	return goose.NewProvider(dialect, db.writing(), rendered{steps, schema{db.dialect, db.collation}},
		goose.WithTableName(versionTable), goose.WithDisableGlobalRegistry(true),
		goose.WithSlog(slog.New(slog.DiscardHandler)))
}

// lockSchema keeps other processes from migrating until unlock is called. It is given
// back when this process dies.
func (db *DB) lockSchema(ctx context.Context) (unlock func(), err error) {
	if db.dialect == SQLite {
		return lockFolder(ctx, db.path)
	}
	lock, release := "SELECT pg_advisory_lock(5496130042)", "SELECT pg_advisory_unlock(5496130042)"
	if db.dialect == MySQL {
		// Locks of MySQL belong to the server: the name holds the database.
		const name = "CONCAT('lodge.', MD5(DATABASE()))"
		lock, release = "SELECT GET_LOCK("+name+", 600)", "SELECT RELEASE_LOCK("+name+")"
	}
	c, err := db.pool.Conn(ctx)
	if err != nil {
		return nil, err
	}
	var got any
	if err := c.QueryRowContext(ctx, lock).Scan(&got); err != nil {
		_ = c.Close()
		return nil, err
	}
	if n, isNumber := got.(int64); isNumber && n != 1 {
		_ = c.Close()
		return nil, fault.New(fault.Unavailable, "another process has been migrating the database for ten minutes")
	}
	return func() {
		if _, err := c.ExecContext(context.WithoutCancel(ctx), release); err != nil {
			db.log.WarnContext(ctx, "the lock on the schema was not given back", slog.Any("error", err))
		}
		_ = c.Close()
	}, nil
}

// schema writes what differs between the dialects in the migration files.
type schema struct {
	dialect   Dialect
	collation string
}

// CreateTable begins a table. MySQL cannot undo half a migration: the next attempt
// goes on after what is there.
func (s schema) CreateTable(name string) string {
	if s.dialect == MySQL {
		return "CREATE TABLE IF NOT EXISTS " + name
	}
	return "CREATE TABLE " + name
}

// Table ends a table.
func (s schema) Table() string {
	if s.dialect != MySQL {
		return ""
	}
	return " ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=" + s.collation
}

// Text is the type of texts without a short limit.
func (s schema) Text() string {
	if s.dialect == MySQL {
		return "MEDIUMTEXT"
	}
	return "TEXT"
}

// AutoID is the type of a key that numbers itself.
func (s schema) AutoID() string {
	return map[Dialect]string{
		SQLite: "INTEGER PRIMARY KEY AUTOINCREMENT", Postgres: "SERIAL PRIMARY KEY", MySQL: "INT AUTO_INCREMENT PRIMARY KEY",
	}[s.dialect]
}

// Int is the type that refers to an AutoID.
func (s schema) Int() string {
	if s.dialect == MySQL {
		return "INT"
	}
	return "INTEGER"
}

// UUID is the type of a UUID.
func (s schema) UUID() string {
	if s.dialect == Postgres {
		return "UUID"
	}
	return "CHAR(36)"
}

// CreateIndex makes an index unless it is there.
func (s schema) CreateIndex(name, table, columns string) string {
	return s.index("INDEX", name, table, columns)
}

// CreateUnique makes a unique index unless it is there.
func (s schema) CreateUnique(name, table, columns string) string {
	return s.index("UNIQUE INDEX", name, table, columns)
}

func (s schema) index(kind, name, table, columns string) string {
	if s.dialect != MySQL {
		return fmt.Sprintf("CREATE %s IF NOT EXISTS %s ON %s (%s)", kind, name, table, columns)
	}
	return unless(fmt.Sprintf("statistics WHERE table_schema = DATABASE() AND table_name = '%s' AND index_name = '%s'", table, name),
		fmt.Sprintf("CREATE %s %s ON %s (%s)", kind, name, table, columns))
}

// AddColumn adds a column to a table that is there. What it is holds no apostrophe.
func (s schema) AddColumn(table, column, is string) string {
	add := fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s %s", table, column, is)
	if s.dialect != MySQL {
		return add
	}
	return unless(fmt.Sprintf("columns WHERE table_schema = DATABASE() AND table_name = '%s' AND column_name = '%s'", table, column), add)
}

// unless is a step that is taken if the information schema has no such thing: MySQL has no IF NOT EXISTS here.
func unless(found, step string) string {
	return fmt.Sprintf(`SET @lodge_step = IF((SELECT COUNT(*) FROM information_schema.%s) > 0,
  'DO 0', '%s');
PREPARE lodge_step FROM @lodge_step;
EXECUTE lodge_step;
DEALLOCATE PREPARE lodge_step`, found, step)
}

// rendered gives the migration files as templates filled in by the schema.
type rendered struct {
	fs.FS
	schema schema
}

// Open opens a file, rendered if it is a migration.
func (r rendered) Open(name string) (fs.File, error) {
	f, err := r.FS.Open(name)
	if err != nil || !strings.HasSuffix(name, ".sql") {
		return f, err
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	parsed, err := template.New(name).Option("missingkey=error").Parse(string(text))
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	var out bytes.Buffer
	if err := parsed.Execute(&out, r.schema); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return renderedFile{f, &out}, nil
}

type renderedFile struct {
	fs.File
	text io.Reader
}

// Read reads what was rendered.
func (f renderedFile) Read(p []byte) (int, error) { return f.text.Read(p) }
