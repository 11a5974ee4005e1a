// Sends one request again and again over connections that stay open, and says how many were answered and how fast.
//
// What to send stands as a JSON object on standard input (type order). Each connection is a closed loop: it sends, reads
// the whole answer, and sends the next one; the request differs in its idempotency key alone. The request is put together
// once and written with one call, so that next to nothing of the processor is used here.
//
// Prints one JSON object (type result); exits 1 with the reason on standard error at the first answer with another status
// than the one that is expected.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// keyOctets is the length of every idempotency key: the place for it in the request is as long.
const keyOctets = 32

const boundary = "probans-load-7c1f0e5b9a34d268"

type order struct {
	Address     string            `json:"address"`     // HOST:PORT
	Path        string            `json:"path"`        // of the POST
	Headers     map[string]string `json:"headers"`     // besides Host, Content-* and Idempotency-Key
	Document    string            `json:"document"`    // JSON, the part that describes the file
	File        string            `json:"file"`        // path of the file to send
	Connections int               `json:"connections"` // at once
	Seconds     float64           `json:"seconds"`     // how long new requests are sent
	Keys        string            `json:"keys"`        // the idempotency keys begin with it
	Expected    int               `json:"expected"`    // status
}

type result struct {
	Requests  int     `json:"requests"`
	Seconds   float64 `json:"seconds"`
	PerSecond float64 `json:"per_second"`
	Median    float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	CPU       float64 `json:"cpu_s"` // of this program
}

func main() {
	found, err := run(os.Stdin)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(found)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(input io.Reader) (*result, error) {
	var asked order
	if err := json.NewDecoder(input).Decode(&asked); err != nil {
		return nil, err
	}
	if asked.Connections < 1 || len(asked.Keys) > keyOctets-16 {
		return nil, errors.New("wanted: one connection at least, and a short beginning of the keys")
	}
	request, place, err := asked.request()
	if err != nil {
		return nil, err
	}
	waits := make([][]time.Duration, asked.Connections)
	failures := make([]error, asked.Connections)
	var group sync.WaitGroup
	begun := time.Now()
	until := begun.Add(time.Duration(asked.Seconds * float64(time.Second)))
	for number := range asked.Connections {
		group.Add(1)
		go func() {
			defer group.Done()
			waits[number], failures[number] = asked.send(slices.Clone(request), place, number, until)
		}()
	}
	group.Wait()
	took := time.Since(begun)
	if err := errors.Join(failures...); err != nil {
		return nil, err
	}
	return told(slices.Concat(waits...), took)
}

// request returns the whole request, and where in it the key stands.
func (asked *order) request() ([]byte, int, error) {
	content, err := os.ReadFile(asked.File)
	if err != nil {
		return nil, 0, err
	}
	var body strings.Builder
	fmt.Fprintf(&body, "--%s\r\nContent-Disposition: form-data; name=\"document\"\r\n", boundary)
	fmt.Fprintf(&body, "Content-Type: application/json\r\n\r\n%s\r\n", asked.Document)
	fmt.Fprintf(&body, "--%s\r\nContent-Disposition: form-data; name=\"file\"; filename=\"acte.pdf\"\r\n", boundary)
	fmt.Fprintf(&body, "Content-Type: application/pdf\r\n\r\n%s\r\n--%s--\r\n", content, boundary)
	var head strings.Builder
	fmt.Fprintf(&head, "POST %s HTTP/1.1\r\nHost: %s\r\n", asked.Path, asked.Address)
	for name, value := range asked.Headers {
		fmt.Fprintf(&head, "%s: %s\r\n", name, value)
	}
	fmt.Fprintf(&head, "Content-Type: multipart/form-data; boundary=%s\r\n", boundary)
	fmt.Fprintf(&head, "Content-Length: %d\r\nIdempotency-Key: ", body.Len())
	place := head.Len()
	fmt.Fprintf(&head, "%s\r\n\r\n", strings.Repeat("0", keyOctets))
	return []byte(head.String() + body.String()), place, nil
}

// send keeps one connection busy and returns how long each answer took.
func (asked *order) send(request []byte, place, number int, until time.Time) ([]time.Duration, error) {
	connection, err := net.Dial("tcp", asked.Address)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	answers := bufio.NewReader(connection)
	var waits []time.Duration
	for count := 0; time.Now().Before(until); count++ {
		key := fmt.Sprintf("%s%04d-%010d", asked.Keys, number, count)
		copy(request[place:], key+strings.Repeat("0", keyOctets-len(key)))
		begun := time.Now()
		if _, err := connection.Write(request); err != nil {
			return nil, err
		}
		if err := asked.check(answers); err != nil {
			return nil, err
		}
		waits = append(waits, time.Since(begun))
	}
	return waits, nil
}

// check reads one answer to its end.
func (asked *order) check(answers *bufio.Reader) error {
	answer, err := http.ReadResponse(answers, nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode != asked.Expected {
		return errors.New("status " + strconv.Itoa(answer.StatusCode) + ": " + string(said[:min(len(said), 300)]))
	}
	return nil
}

func told(waits []time.Duration, took time.Duration) (*result, error) {
	if len(waits) == 0 {
		return nil, errors.New("nothing was sent")
	}
	slices.Sort(waits)
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return nil, err
	}
	at := func(share float64) float64 {
		return waits[min(len(waits)-1, int(share*float64(len(waits))))].Seconds() * 1000
	}
	return &result{
		Requests:  len(waits),
		Seconds:   took.Seconds(),
		PerSecond: float64(len(waits)) / took.Seconds(),
		Median:    at(0.5),
		P99:       at(0.99),
		CPU:       seconds(used.Utime) + seconds(used.Stime),
	}, nil
}

func seconds(spent syscall.Timeval) float64 {
	return float64(spent.Sec) + float64(spent.Usec)/1e6
}
