import type { Automation } from '../../../lib/automation';
import { rememberConsoleToken } from '../../../lib/console-fetch';
import type { Outgoing, SendPlan } from '../../../lib/send-plan';
import { Automaton } from '../automaton';
import { PlanRunner } from '../plan-runner';
import type { SocketReport, SocketRequest } from '../socket-thread';
import { DialledSocket } from './dialled-socket';

/** Makes the report of a message from the moment when it was sent. */
type OnSent = (atMs: number) => SocketReport;

/** The thread's side of a socket that the console dials: the same talk as `serveSocket`. */
export function serveDial(
  report: (report: SocketReport) => void,
): (request: SocketRequest) => void {
  let socket: DialledSocket | undefined;
  let plan: PlanRunner | undefined;
  let automaton: Automaton | undefined;
  let base = '';
  let now = () => performance.now();
  /** Of what is sent by itself, by tickets below zero: those above are the page's. */
  const byItself = new Map<number, OnSent>();
  let nextTicket = -1;

  const open = ({ url, subprotocols, ...request }: Extract<SocketRequest, { type: 'open' }>) => {
    const aheadMs = performance.timeOrigin - request.clockOriginMs;
    now = () => performance.now() + aheadMs;
    const { through = '{}', headers = [] } = request;
    const dialling = { url, subprotocols, through, headers, base };
    socket = new DialledSocket(dialling, now, {
      onStep: (step) => {
        report({ type: 'step', step });
      },
      onFrames: (frames, offsetMs) => {
        report({ type: 'frames', frames, offsetMs });
      },
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
      case 'console':
        base = request.base;
        // A thread has no storage of the page's.
        if (request.token !== null) rememberConsoleToken(request.token);
        break;
      case 'open':
        open(request);
        if (request.automation !== undefined) automaton = automate(request.automation);
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
    }
  };
}
