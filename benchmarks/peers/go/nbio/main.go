// lesismal/nbio: its own epoll, and no goroutine for a connection that waits. It validates text, and
// swallows empty messages.
package main

import (
	"flag"
	"log"
	"net"
	"net/http"

	"echo-trio/benchmarks/peers/contract"

	"github.com/lesismal/nbio/logging"
	"github.com/lesismal/nbio/nbhttp"
	"github.com/lesismal/nbio/nbhttp/websocket"
)

func main() {
	flag.Parse()
	// Its log goes to stdout, where the ready line has to be alone.
	logging.SetLevel(logging.LevelNone)

	upgrader := websocket.NewUpgrader()
	upgrader.EnableCompression(*contract.Compression)
	upgrader.MessageLengthLimit = contract.MaxMessageBytes
	// The message is in a buffer of its own, so the suffix may be appended in place.
	upgrader.OnMessage(func(connection *websocket.Conn, kind websocket.MessageType, message []byte) {
		connection.WriteMessage(kind, contract.AppendSuffix(message))
	})
	handler := func(response http.ResponseWriter, request *http.Request) {
		upgrader.Upgrade(response, request, nil)
	}

	var listener net.Listener
	engine := nbhttp.NewEngine(nbhttp.Config{
		Network: "tcp",
		Addrs:   []string{net.JoinHostPort(contract.Host, contract.Port)},
		Listen: func(network, address string) (net.Listener, error) {
			var err error
			listener, err = net.Listen(network, address)
			return listener, err
		},
		Handler: http.HandlerFunc(handler),
		IOMod:   nbhttp.IOModNonBlocking,
		// Buffers go back to its pool as soon as they are answered.
		ReleaseWebsocketPayload: true,
	})
	if err := engine.Start(); err != nil {
		log.Fatal(err)
	}
	contract.Announce(listener.Addr())
	select {}
}
