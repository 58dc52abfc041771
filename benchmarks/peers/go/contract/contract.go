// Package contract holds what every Go peer does alike: the reply of our own server, the ready
// line, the limits. It is peers/echo_contract.py in Go.
package contract

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"unicode/utf8"
)

const (
	// Host and Port are where a peer listens: a free port.
	Host, Port = "127.0.0.1", "0"
	// MaxMessageBytes is the largest message that is taken.
	MaxMessageBytes = 8 * 1024 * 1024

	suffixBytes = len(" 999999")
)

// Compression is true if the peer is to offer permessage-deflate.
var Compression = flag.Bool("compression", false, "offer permessage-deflate")

// One core is measured. The runtime counts the cores that its process is pinned to, which is one;
// this says so, and holds where nobody has pinned it.
func init() { runtime.GOMAXPROCS(1) }

// AppendSuffix appends a space and a random number below a million: message + suffix is the reply.
func AppendSuffix(message []byte) []byte {
	return strconv.AppendInt(append(message, ' '), rand.Int64N(1_000_000), 10)
}

// Buffers of messages: a connection has one while it answers, and none while it waits.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// ErrInvalidText is returned for text that is not UTF-8: the connection has to be closed with 1007.
var ErrInvalidText = errors.New("text is not UTF-8")

// Answer reads one message and writes the reply to it. The reply is only valid during write.
func Answer(message io.Reader, isText bool, write func(reply []byte) error) error {
	buffer := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(buffer)
	buffer.Reset()
	if _, err := buffer.ReadFrom(message); err != nil {
		return err
	}
	if isText && !utf8.Valid(buffer.Bytes()) {
		return ErrInvalidText
	}
	buffer.Grow(suffixBytes)
	return write(AppendSuffix(buffer.Bytes()))
}

// Announce prints the line that says where this peer listens, as our own server does.
func Announce(address net.Addr) {
	fmt.Printf("ready ws=ws://%s/\n", address)
}

// Serve listens, says so, and serves until it is killed.
func Serve(handler http.HandlerFunc) {
	listener, err := net.Listen("tcp", net.JoinHostPort(Host, Port))
	if err != nil {
		log.Fatal(err)
	}
	Announce(listener.Addr())
	log.Fatal(http.Serve(listener, handler))
}
