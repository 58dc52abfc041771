import type { Automation } from '../../lib/automation';
import type { Outgoing, SendPlan } from '../../lib/send-plan';
import { Automaton } from './automaton';
import type { CloseReport } from './close-report';
import type { Agreed } from './one-shot-socket';
import { PlanRunner } from './plan-runner';
import type { SocketReport, SocketRequest } from './socket-thread';

/** A socket from handshake to close, whoever has dialled it. */
export interface HostedSocket {
  /** Hands it on to be sent; `false` where that cannot be. `onSent` tells when it was. */
  send(data: Outgoing, ticket: number): boolean;
  /** Starts the closing handshake, or gives up the opening one; `onClose` follows. */
  close(code?: number, reason?: string): void;
}

/** Moments are in milliseconds on the clock that the socket was given. */
export interface HostedEvents {
  readonly onOpen: (atMs: number, handshakeMs: number, agreed: Agreed) => void;
  readonly onMessage: (data: string | ArrayBuffer, atMs: number) => void;
  readonly onSent: (ticket: number, atMs: number) => void;
  readonly onUnsent: (ticket: number) => void;
  /** The last event, whether or not the socket ever opened. */
  readonly onClose: (report: CloseReport, atMs: number) => void;
  /** The only event, where nobody dials. */
  readonly onRefused: (problem: string) => void;
}

export type OpenRequest = Extract<SocketRequest, { type: 'open' }>;
export type OpenSocket = (
  request: OpenRequest,
  now: () => number,
  events: HostedEvents,
) => HostedSocket | undefined;

/** Makes the report of a message from the moment when it was sent. */
type OnSent = (atMs: number) => SocketReport;

/**
 * The thread's side of the talk with the page: holds one socket, does what is requested of it,
 * sends what it sends by itself, and reports what happens.
 */
export function hostSocket(
  report: (report: SocketReport) => void,
  openSocket: OpenSocket,
): (request: SocketRequest) => void {
  let socket: HostedSocket | undefined;
  let plan: PlanRunner | undefined;
  let automaton: Automaton | undefined;
  let now = () => performance.now();
  /** Of what is sent by itself, by tickets below zero: those above are the page's. */
  const byItself = new Map<number, OnSent>();
  let nextTicket = -1;

  const open = (request: OpenRequest) => {
    const aheadMs = performance.timeOrigin - request.clockOriginMs;
    now = () => performance.now() + aheadMs;
    if (request.automation !== undefined) automaton = automate(request.automation);
    socket = openSocket(request, now, {
      onOpen: (atMs, handshakeMs, agreed) => {
        report({ type: 'opened', atMs, handshakeMs, ...agreed });
        automaton?.opened();
      },
      onMessage: (data, atMs) => {
        report({ type: 'received', data, atMs });
        automaton?.received(data);
      },
      onSent: (ticket, atMs) => {
        const told = byItself.get(ticket);
        byItself.delete(ticket);
        report(told === undefined ? { type: 'sent', ticket, atMs } : told(atMs));
      },
      onUnsent: (ticket) => {
        if (!byItself.delete(ticket)) report({ type: 'unsent', ticket });
      },
      onClose: (close, atMs) => {
        plan?.stop();
        automaton?.closed();
        report({ type: 'closed', report: close, atMs });
      },
      onRefused: (problem) => {
        report({ type: 'refused', problem });
      },
    });
  };

  const send = (ticket: number, data: Outgoing) => {
    if (socket?.send(data, ticket) !== true) report({ type: 'unsent', ticket });
  };

  const sendByItself = (data: Outgoing, onSent: OnSent) => {
    const ticket = nextTicket--;
    byItself.set(ticket, onSent);
    const isTaken = socket?.send(data, ticket) === true;
    if (!isTaken) byItself.delete(ticket);
    return isTaken;
  };

  const start = (planId: number, wanted: SendPlan) => {
    plan?.stop();
    const started = new PlanRunner(wanted, {
      now,
      send: (data, handedLateMs) => {
        const handedAtMs = now();
        return sendByItself(data, (atMs) => {
          const lateMs = handedLateMs + Math.max(0, atMs - handedAtMs);
          return { type: 'planned', planId, data, atMs, lateMs };
        });
      },
      onEnd: (why) => {
        plan = undefined;
        report({ type: 'planEnded', planId, why });
      },
    });
    plan = started.isOver ? undefined : started;
  };

  const automate = (automation: Automation) =>
    new Automaton(automation, {
      now,
      send: (data, by) => sendByItself(data, (atMs) => ({ type: 'automatic', data, atMs, by })),
      onRuleStopped: (rule, replies) => {
        report({ type: 'ruleStopped', rule, replies, atMs: now() });
      },
    });

  return (request) => {
    switch (request.type) {
      case 'open':
        open(request);
        break;
      case 'send':
        send(request.ticket, request.data);
        break;
      case 'start':
        start(request.planId, request.plan);
        break;
      case 'stop':
        plan?.stop();
        break;
      case 'close':
        socket?.close(request.code, request.reason);
        break;
      case 'console':
        // For who dials by it, who takes it before.
        break;
    }
  };
}
