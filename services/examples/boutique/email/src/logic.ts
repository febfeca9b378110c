// Writes to customers. What is written is not sent anywhere: this is an example.
import Mustache from "mustache";

export interface Money {
  currency: string;
  minor: number;
  digits: number;
}

export interface Order {
  id: string;
  tracking: string;
  name: string;
  lines: Iterable<{ name: string; quantity: number; amount: Money }>;
  shipping: Money;
  total: Money;
}

const SUBJECT = "Your order {{id}} is on its way";
const HTML = `<!doctype html>
<title>Your order {{id}}</title>
<p>Dear {{name}},</p>
<p>thank you. This is what we have packed for you:</p>
<table>
{{#lines}}
  <tr><td>{{quantity}} &times;</td><td>{{name}}</td><td>{{amount}}</td></tr>
{{/lines}}
  <tr><td></td><td>Shipping</td><td>{{shipping}}</td></tr>
  <tr><td></td><th>Total</th><th>{{total}}</th></tr>
</table>
<p>The carrier knows your parcel as <code>{{tracking}}</code>.</p>
`;

export class Email {
  async confirm({ to, order }: { to: string; order: Order }): Promise<{ messageId: string; subject: string; characters: number }> {
    if (!/^[^\s@]+@[^\s@]+$/.test(to)) throw new TypeError("confirm: that is no mail address");
    const view = {
      id: order.id,
      tracking: order.tracking,
      name: order.name,
      shipping: format(order.shipping),
      total: format(order.total),
      lines: Array.from(order.lines, ({ name, quantity, amount }) => ({ name, quantity, amount: format(amount) })),
    };
    const subject = Mustache.render(SUBJECT, view);
    const message = Mustache.render(HTML, view);
    return { messageId: `${order.id}@corner-and-kiln.example`, subject, characters: message.length };
  }
}

function format({ currency, minor, digits }: Money): string {
  return `${(minor / 10 ** digits).toFixed(digits)} ${currency}`;
}
