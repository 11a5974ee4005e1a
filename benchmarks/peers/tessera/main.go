// Measures how many entries a second Tessera's POSIX driver makes durable, and how long each writer waits.
//
// Writers work in a closed loop: each adds an entry of octets drawn by chance and waits for its index before the next
// one. By the library's contract an index is given once the entry is durably sequenced; this driver gives it once
// bundle, tiles and tree state are written and synced, so the entry is integrated too, and the program checks that at
// the end. Checkpoints are signed and published beside this, at the library's own interval; nobody waits for them (no
// publication awaiter). No antispam, no witnesses.
//
// Prints one JSON object; exits 1 with the reason on standard error.
package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"
)

const module = "github.com/transparency-dev/tessera"

type result struct {
	Version   string  `json:"version"`
	Writers   int     `json:"writers"`
	Octets    int     `json:"octets"`
	BatchSize uint    `json:"batch_size"`
	BatchAge  float64 `json:"batch_age_ms"`
	Seconds   float64 `json:"seconds"`
	Entries   int     `json:"entries"`
	PerSecond float64 `json:"per_second"`
	Median    float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	Longest   float64 `json:"max_ms"`
}

func main() {
	folder := flag.String("folder", "", "empty folder for the log")
	writers := flag.Int("writers", 64, "writers at once")
	octets := flag.Int("octets", 400, "length of an entry, 16 at least")
	seconds := flag.Duration("time", time.Second, "how long to write")
	batchSize := flag.Uint("batch-size", 64, "entries after which a batch is written")
	batchAge := flag.Duration("batch-age", 5*time.Millisecond, "age after which a batch is written")
	flag.Parse()
	found, err := measure(*folder, *writers, *octets, *seconds, *batchSize, *batchAge)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(found)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func measure(folder string, writers, octets int, span time.Duration, size uint, age time.Duration) (*result, error) {
	if folder == "" || writers < 1 || octets < 16 {
		return nil, errors.New("wanted: a folder, one writer and 16 octets at least")
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	add, integrated, err := open(ctx, folder, size, age)
	if err != nil {
		return nil, err
	}

	waits := make([][]time.Duration, writers)
	failures := make([]error, writers)
	var group sync.WaitGroup
	begun := time.Now()
	for writer := range writers {
		group.Add(1)
		go func() {
			defer group.Done()
			waits[writer], failures[writer] = write(ctx, add, octets, begun.Add(span))
		}()
	}
	group.Wait()
	took := time.Since(begun).Seconds()
	if err := errors.Join(failures...); err != nil {
		return nil, err
	}

	all := slices.Concat(waits...)
	slices.Sort(all)
	count, err := integrated(ctx)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 || count != uint64(len(all)) {
		return nil, fmt.Errorf("%d entries were answered, %d are in the tree", len(all), count)
	}
	below := func(share float64) float64 {
		return all[min(len(all)-1, int(share*float64(len(all))))].Seconds() * 1000
	}
	return &result{
		Version: version(), Writers: writers, Octets: octets, BatchSize: size, BatchAge: age.Seconds() * 1000,
		Seconds: took, Entries: len(all), PerSecond: float64(len(all)) / took,
		Median: below(0.5), P99: below(0.99), Longest: below(1),
	}, nil
}

// open makes a new log with a key of its own.
func open(ctx context.Context, folder string, size uint, age time.Duration) (
	tessera.AddFn, func(context.Context) (uint64, error), error,
) {
	secret, _, err := note.GenerateKey(rand.Reader, "bench.example/log")
	if err != nil {
		return nil, nil, err
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		return nil, nil, err
	}
	driver, err := posix.New(ctx, posix.Config{Path: folder})
	if err != nil {
		return nil, nil, err
	}
	options := tessera.NewAppendOptions().WithCheckpointSigner(signer).WithBatching(size, age)
	appender, _, reader, err := tessera.NewAppender(ctx, driver, options)
	if err != nil {
		return nil, nil, err
	}
	return appender.Add, reader.IntegratedSize, nil
}

// write adds entries one after another until the time is over, and returns how long each took.
func write(ctx context.Context, add tessera.AddFn, octets int, end time.Time) ([]time.Duration, error) {
	var seed [32]byte
	if _, err := rand.Read(seed[:]); err != nil {
		return nil, err
	}
	source := mathrand.NewChaCha8(seed)
	var waits []time.Duration
	for begun := time.Now(); begun.Before(end); begun = time.Now() {
		entry := make([]byte, octets)
		if _, err := source.Read(entry); err != nil {
			return nil, err
		}
		if _, err := add(ctx, tessera.NewEntry(entry))(); err != nil {
			return nil, err
		}
		waits = append(waits, time.Since(begun))
	}
	return waits, nil
}

func version() string {
	if info, known := debug.ReadBuildInfo(); known {
		for _, dependency := range info.Deps {
			if dependency.Path == module {
				return dependency.Version
			}
		}
	}
	return "unknown"
}
