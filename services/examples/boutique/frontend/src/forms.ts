// What the checkout form must hold; messages are for the person who filled it in.
import { z } from "zod";

const text = (what: string) => z.string(`Please give ${what}.`).trim().min(1, `Please give ${what}.`).max(120, `${what} is too long.`);

export const CheckoutForm = z
  .object({
    email: text("a mail address").regex(/^[^\s@]+@[^\s@]+$/, "That is no mail address."),
    name: text("your name"),
    street: text("a street"),
    city: text("a city"),
    postcode: text("a postcode"),
    country: text("a country").regex(/^[A-Z]{2}$/, "Please give the country as two letters."),
    cardNumber: text("a card number"),
    cardYear: z.coerce.number("Please give the card's year.").int().min(2000).max(2100),
    cardMonth: z.coerce.number("Please give the card's month.").int().min(1).max(12),
    cardCode: text("the card's security code"),
  })
  .transform(({ email, name, street, city, postcode, country, cardNumber, cardYear, cardMonth, cardCode }) => ({
    email,
    address: { name, street, city, postcode, country },
    card: { number: cardNumber, expiryYear: cardYear, expiryMonth: cardMonth, code: cardCode },
  }));
